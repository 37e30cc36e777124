"""The committed data goes into the wheel as `lib/data`; everything else stands in
pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lib", "lib.*"]), "lib.data"],
    package_dir={"lib.data": "data"},
    package_data={"lib.data": ["README.md", "artifacts/*/*", "published/*"]},
)
