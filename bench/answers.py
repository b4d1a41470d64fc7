"""A program that reads rows, a line each, and answers by lines of JSON."""
import json
import subprocess


def answers(command, rows, what, **options):
    """Each answer, as the program gives it. what: how messages call the program."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    process.stdin.write("\n".join(rows) + "\n")
    process.stdin.close()
    for line in process.stdout:
        yield json.loads(line)
    if process.wait():
        raise RuntimeError(f"{what} has failed with {process.returncode}")
