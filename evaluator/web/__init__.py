"""What people and programs see of the daemon over HTTP: health, metrics, the API and the first page."""
