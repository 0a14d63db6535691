"""What the tests of sources and notifiers run, ours and those of plugins: conformance suites, servers, look-alikes."""
