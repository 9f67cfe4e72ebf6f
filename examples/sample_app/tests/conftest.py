pytest_plugins = ["orchestrator.pytest"]
