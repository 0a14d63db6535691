"""The package beside this file is a third party's: its tests run where it is installed, by `test_plugin.py`."""

collect_ignore = ["package"]
