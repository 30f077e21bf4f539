"""Golden files of a user's own descriptions: what seamir makes, as text that is reviewed.

Takes compilations and returns texts, differences and files written. The plugin for pytest,
`seamir/pytest_plugin.py`, is a test's way to it; nothing here knows of pytest.
"""
