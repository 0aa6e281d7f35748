"""The two logs that the service can stand on, behind one seam."""
