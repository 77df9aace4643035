"""The line protocol of the compatibility tests (support/driver.ts) for drivers in Python."""
import json
import sys


def serve(commands, close):
    """Answers each line with what its command returns; closes at the end of the input."""
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        try:
            answer = {"value": commands[name](**command)}
        except Exception as exception:
            answer = {"error": repr(exception)}
        print(json.dumps(answer), flush=True)
    close()
