"""Ridge regression of the second layer on the features after no step, one and two: test and training error."""
