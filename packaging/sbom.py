"""Writes what the packages of one architecture hold, in CycloneDX's form (an SBOM): the same bytes for the same commit.

usage: python packaging/sbom.py OUT VERSION ARCHITECTURE COMMIT FILE...
"""

import hashlib
import os
import sys
import uuid
from datetime import datetime, timezone
from importlib.metadata import version as installed
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

MIT = LicenseFactory().make_with_id("MIT")
BSD = LicenseFactory().make_with_id("BSD-3-Clause")


def library(name, version, licence, page, *, purl=None, scope=ComponentScope.REQUIRED, note=None):
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=name,
        licenses=[licence],
        scope=scope,
        purl=purl,
        description=note,
        external_references=[ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(page))] if page else [],
    )


def bill(version, architecture, commit, files):
    halide = installed("halide")
    hnorm = library("hnorm", version, MIT, None, note="The kernels are compiled by Halide; its compiler is not inside.")
    hnorm.properties.add(Property(name="hnorm:commit", value=commit))
    runtime = library(
        "Halide runtime", halide, MIT, "https://halide-lang.org",
        purl=PackageURL("pypi", name="halide", version=halide), note="compiled into libhnorm and libhnorm_gpu",
    )  # fmt: skip
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"hnorm {version} {architecture} {commit}"))
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    bom.metadata.component = hnorm
    bom.components.add(runtime)
    used = [runtime]
    for name, licence, page in (("CLI11", BSD, "https://github.com/CLIUtils/CLI11"),
                                ("JSON for Modern C++", MIT, "https://json.nlohmann.me")):
        headers = library(name, None, licence, page, note="headers of the system that builds, compiled into hnorm")
        bom.components.add(headers)
        used.append(headers)
    if any("state" in file.name for file in files):
        libzip = library(
            "libzip", None, BSD, "https://libzip.org", scope=ComponentScope.EXCLUDED,
            note="not inside: libhnorm_state is linked with the system's (1.6 or newer)",
        )  # fmt: skip
        bom.components.add(libzip)
        used.append(libzip)
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        bom.components.add(
            Component(
                type=ComponentType.FILE, name=file.name, bom_ref=file.name,
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
            )
        )  # fmt: skip
    bom.register_dependency(hnorm, used)
    return bom


def main(out, version, architecture, commit, *files):
    bom = bill(version, architecture, commit, [Path(file) for file in sorted(files)])
    Path(out).write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
