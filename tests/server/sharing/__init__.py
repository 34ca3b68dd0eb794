"""An app of two queues with one named limit; for the tests of named limits in many processes."""
