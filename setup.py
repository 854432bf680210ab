"Read version, requirements and extras from settings.ini, the one place where they stand; take the paper's notebooks along."
import json
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]


class WithPaper(build_py):
    "The paper's notebooks, without their outputs, and its profiles, as otcxr/paper"
    def run(self):
        super().run()
        if self.editable_mode: return
        for file in sorted(p for s in ("ipynb", "yaml") for p in (here / "nbs" / "paper").rglob(f"*.{s}")):
            copy = Path(self.build_lib) / "otcxr" / "paper" / file.relative_to(here / "nbs" / "paper")
            text = file.read_text(encoding="utf-8")
            if file.suffix == ".ipynb":
                nb = json.loads(text)
                for cell in nb["cells"]: cell.update({"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {})
                text = json.dumps(nb, indent=1, ensure_ascii=False)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding="utf-8")

setup(
    cmdclass={"build_py": WithPaper},
    version=cfg["version"],
    packages=find_packages(include=["otcxr", "otcxr.*"]),
    package_data={"otcxr": ["*.mplstyle", "py.typed", "data/*", "Snakefile"]},
    install_requires=cfg["requirements"].split(),
    extras_require={
        "dicom": cfg["dicom_requirements"].split(),
        "export": cfg["export_requirements"].split(),
        "paper": cfg["paper_requirements"].split(),
        "log": cfg["log_requirements"].split(),
        "dev": " ".join(cfg[f"{extra}_requirements"] for extra in ("dev", "paper", "dicom", "export")).split(),
    },
    python_requires=">=" + cfg["min_python"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
)
