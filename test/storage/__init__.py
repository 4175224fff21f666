"""Tests of the storage kinds."""
