"""What only the owner of a fake can do: steer time, seed files and jobs."""
