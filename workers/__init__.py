"""The programs that do the work: a pool of RQ workers that fork a work horse a shard, and a janitor."""
