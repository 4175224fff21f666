"""Packages by search: setup.cfg cannot both search and name ``twisted.plugins``, which has no __init__."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(".", include=["palaver", "palaver.*"]), "twisted.plugins"])
