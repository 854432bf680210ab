"Read version, requirements and extras from settings.ini, the one place where they stand."
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(here / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]

setup(
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
