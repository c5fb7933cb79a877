"""Operations that the service does not have: move time, change plans, put files and jobs into an account."""
