"""A Ray cluster of this machine's own: a head that runs nothing, and two nodes of a CPU and a (made-up) GPU each.

    python tests/ray_cluster.py FOLDER

Prints its address, and ends once its stdin is closed. FOLDER takes its sockets and logs; its path must be short.
"""

from __future__ import annotations

import os
import signal
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def main() -> None:
    from ray.cluster_utils import Cluster

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as where a script starts it with &
    small = {"object_store_memory": 80 << 20}
    head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": sys.argv[1], **small}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, num_gpus=1, **small)
        print(cluster.address, flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
