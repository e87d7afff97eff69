"""Transforms a SAM template as AWS does when it is deployed.

    python3 tools/samtransform.py template.yaml
    python3 tools/samtransform.py --json template.yaml

Prints how many resources it becomes, or all of them as JSON, or the
translator's complaint. It needs the aws-sam-translator package and no account:
managed policies are not looked up.
"""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.public.exceptions import InvalidDocumentException
from samtranslator.translator.managed_policy_translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies(ManagedPolicyLoader):
    """Knows no policy by its name; the template names none."""

    def __init__(self):
        super().__init__(None)

    def load(self):
        return {}


def packaged(template):
    """Puts an object in S3 in the place of each local folder, as `sam package` does."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if isinstance(properties.get(name), str) and "://" not in properties[name]:
                properties[name] = "s3://bucket/" + properties[name]
    return template


def main(path, whole):
    with open(path, encoding="utf-8") as f:
        template = packaged(yaml_parse(f.read()))
    parameters = {name: str(about.get("Default", "")) for name, about in template.get("Parameters", {}).items()}
    try:
        out = transform(template, parameters, NoManagedPolicies())
    except InvalidDocumentException as e:
        causes = [cause.message for cause in e.causes] or [str(e)]
        sys.exit(f"{path}: " + "\n".join(causes))
    text = json.dumps(out, indent=2)  # what cannot be written cannot be deployed
    print(text if whole else f"{path}: transformed to {len(out['Resources'])} resources")


if __name__ == "__main__":
    main(sys.argv[-1], "--json" in sys.argv[1:-1])
