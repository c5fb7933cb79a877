"""The parts that `FakeFineTuning` is put together from, one for each thing a test does with it."""
