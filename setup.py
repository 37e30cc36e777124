"""The committed data goes into the wheel as `lib/data`, the scripts of interactive figures
and the style of the slides beside their Python files; everything else stands in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lib", "lib.*"]), "lib.data"],
    package_dir={"lib.data": "data"},
    package_data={
        "lib.data": ["*.md", "*.png", "*.gif", "artifacts/*/*", "hand_drawn/*", "published/*"],
        "lib.course.explorables": ["*.js", "*.css"],
        "lib.course.book": ["*.toml", "static/*"],
        "lib.course.hum_page": ["*.js"],
        "lib.course.slides": ["*.css"],
        "lib.search.service": ["page/*"],
    },
)
