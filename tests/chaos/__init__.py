"""Killed workers, killed servers, cut connections, clock jumps."""
