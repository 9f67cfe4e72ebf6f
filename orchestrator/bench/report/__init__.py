"""Views on a stored run. None of them measures, judges or writes a file."""
