"""Tests of the modules in xeps/, one file each."""
