"""Checks that EventBridge hands over each API call that a shipped rule names, and only what AWS sent: template.yaml RULES_FOLDER."""

import json
import pathlib
import sys

import yaml

# EventBridge leaves out calls that only read, unless a rule asks for all of them, which no account wants to pay for. A trail's
# files hold them.
READ_ONLY = {
    "GetParameter",
    "GetParameters",
    "GetParametersByPath",
    "GetParameterHistory",
    "GetSecretValue",
    "BatchGetSecretValue",
    "GetPasswordData",
    "DescribeInstanceAttribute",
}
PATTERN_LIMIT = 2048


class Template(yaml.SafeLoader):
    """Reads CloudFormation's own tags as text."""


Template.add_multi_constructor("!", lambda loader, suffix, node: "x" * 80)


def holds(names, name):
    return any(name.startswith(n["prefix"]) if isinstance(n, dict) else n == name for n in names)


def listed(value):
    return value if isinstance(value, list) else [value]


def selections(detection):
    """Maps of fields, however deep: a selection may be a list of them."""
    for value in detection.values() if isinstance(detection, dict) else detection:
        if isinstance(value, dict):
            yield value
        if isinstance(value, (dict, list)):
            yield from selections(value)


def calls(rule):
    """Sources and name of each call that a rule names, or shows in a case that must match."""
    for fields in selections(rule["detection"]):
        for name in listed(fields.get("eventName", [])):
            yield set(listed(fields.get("eventSource", []))), name
    for case in rule.get("tests", []):
        if case["match"] and "event" in case:
            yield {case["event"]["eventSource"]}, case["event"]["eventName"]


template = yaml.load(pathlib.Path(sys.argv[1]).read_text(), Template)
resources = template["Resources"]
events = resources["CloudTrailFunction"]["Properties"]["Events"]
patterns = {name: event["Properties"]["Pattern"] for name, event in events.items()}
rules = {name: r["Properties"]["EventPattern"] for name, r in resources.items() if r["Type"] == "AWS::Events::Rule"}
wrong = []
# Only AWS's services may put events of a source that begins with "aws."; any other is open to whoever has events:PutEvents.
for name, pattern in (patterns | rules).items():
    sources = [source["prefix"] if isinstance(source, dict) else source for source in pattern.get("source", [])]
    if not sources or not all(source.startswith("aws.") for source in sources):
        wrong.append(f"the pattern {name} takes events that AWS did not send")
    length = len(json.dumps(pattern, separators=(",", ":")))
    if length > PATTERN_LIMIT:
        wrong.append(f"the pattern {name} has {length} characters; EventBridge takes {PATTERN_LIMIT}")

for path in sorted(pathlib.Path(sys.argv[2]).glob("*.yml")):
    for sources, name in calls(yaml.safe_load(path.read_text())):
        details = [pattern["detail"] for pattern in patterns.values()]
        passes = any(
            holds(detail["eventName"], name) and (not sources or not sources.isdisjoint(detail["eventSource"]))
            for detail in details
        )
        if not passes and name not in READ_ONLY:
            wrong.append(f"no pattern lets {name} of {', '.join(sorted(sources))} pass, on which {path.name} fires")
print("\n".join(wrong))
sys.exit(bool(wrong))
