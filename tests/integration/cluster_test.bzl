"""Tests in Python against whole clusters of cairnd."""

def cluster_test(name, size, data = []):
    """A test in NAME.py, with the programs and what starts them.

    Args:
      name: of the test and its source
      size: of the test
      data: what else it imports
    """
    native.sh_test(
        name = name,
        size = size,
        srcs = [name + ".py"],
        data = data + [
            "servers.py",
            ":python_stubs",
            "//service:cairnd",
            "//service/cli:cairn",
        ],
        tags = [
            "exclusive",
            "no-tsan",
        ],
    )
