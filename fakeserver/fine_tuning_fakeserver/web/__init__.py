"""Everything that touches HTTP: routes, forms, answers, doors."""
