"""The tests; a package, so that its helpers are found before other packages of this name."""
