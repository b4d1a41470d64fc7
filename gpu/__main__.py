"""python3 -m gpu: `./dev gpu`, or ./run of the archive that it packs; arguments.py says what there is to ask for."""
import sys
import time

from bench.machine import cpu_name
from bench.report import now

from . import machine, report
from .arguments import parse
from .run import CUT_OFF, FAILED, PASSED, SKIPPED, Result, run_step
from .steps import Plan

LEAST = 5  # seconds that a step is started for


def say(text):
    print(f"gpu: {text}", file=sys.stderr, flush=True)


def run(options):
    """(steps, {step's name: Result})"""
    steps = [step for step in Plan(options.device, options.brief, options.out).steps()
             if not options.steps or step.name in options.steps]
    facts = {"device": options.device_name, "date": now(), "cpu": cpu_name(),
             "extent": "brief: a trial of the command" if options.brief else "", **machine.facts(options.device)}
    say(", ".join(str(fact) for fact in facts.values() if fact))
    end, results = time.monotonic() + options.limit, {}
    for step in steps:
        (options.out / (step.rows or ".none")).unlink(missing_ok=True)  # of an earlier run
    for step in steps:
        limit = min(step.limit, end - time.monotonic())

        def changed(result, step=step):
            results[step.name] = result
            report.write(options.out, facts, steps, results)

        if step.skip:
            changed(Result(SKIPPED, step.skip))
        elif limit < LEAST:
            changed(Result(CUT_OFF, f"it was not started: the {options.limit} s of --limit were over"))
        else:
            say(f"{step.name}: {step.title} (at most {limit:.0f} s)")
            run_step(step, options.out, limit, changed, say)
        result = results[step.name]
        say(f"{step.name}: {result.status}" + (f": {result.why}" if result.why else f", {result.seconds:.0f} s"))
    say(f"report: {options.out / 'report.md'}")
    return steps, results


def exit_status(steps, results):
    """As --help says."""
    shown = [results[step.name].status for step in steps if step.of_bits and not step.skip]
    if not shown or any(status != PASSED for status in shown):
        return 1
    return 3 if any(result.status in (FAILED, CUT_OFF) for result in results.values()) else 0


def main():
    options = parse(sys.argv[1:])
    if options.pack:
        from .pack import pack  # needs the checkout

        return pack(options.pack, options.candidates, say)
    try:
        return exit_status(*run(options))
    except KeyboardInterrupt:
        say("stopped; the report has what there was")
        return 130


if __name__ == "__main__":
    sys.exit(main())
