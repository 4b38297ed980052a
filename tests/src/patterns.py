"""Checks that EventBridge hands over each API call on which a shipped rule fires: template.yaml RULES_FOLDER."""

import json
import pathlib
import sys

import yaml

# EventBridge leaves out calls that only read, unless a rule asks for all of them, which no account wants to pay for. A trail's
# files hold them.
READ_ONLY = {"GetParameter", "GetSecretValue", "GetPasswordData", "DescribeInstanceAttribute"}
PATTERN_LIMIT = 2048


class Template(yaml.SafeLoader):
    """Reads CloudFormation's own tags as text."""


Template.add_multi_constructor("!", lambda loader, suffix, node: "x" * 80)


def holds(names, name):
    return any(name.startswith(n["prefix"]) if isinstance(n, dict) else n == name for n in names)


template = yaml.load(pathlib.Path(sys.argv[1]).read_text(), Template)
events = template["Resources"]["CloudTrailFunction"]["Properties"]["Events"]
patterns = {name: event["Properties"]["Pattern"] for name, event in events.items()}
wrong = []
for name, pattern in patterns.items():
    if pattern.get("source") != [{"prefix": "aws."}]:
        wrong.append(f"the pattern {name} takes events that AWS did not send")
    length = len(json.dumps(pattern, separators=(",", ":")))
    if length > PATTERN_LIMIT:
        wrong.append(f"the pattern {name} has {length} characters; EventBridge takes {PATTERN_LIMIT}")

for path in sorted(pathlib.Path(sys.argv[2]).glob("*.yml")):
    for case in yaml.safe_load(path.read_text()).get("tests", []):
        event = case.get("event")
        if not event or not case["match"] or event["eventName"] in READ_ONLY:
            continue
        source, call = event["eventSource"], event["eventName"]
        details = [pattern["detail"] for pattern in patterns.values()]
        if not any(source in d["eventSource"] and holds(d["eventName"], call) for d in details):
            wrong.append(f"no pattern lets {call} of {source} pass, on which {path.name} fires")
print("\n".join(wrong))
sys.exit(bool(wrong))
