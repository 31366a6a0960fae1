"""What a WORKSPACE needs so that Cairn builds with Debian's Bazel and without a network.

Bazel 4.2.3 refers to four repositories by itself and downloads them as soon as a cc_* target is
analysed. Debian ships two of them; the other two are written here. A program that embeds Cairn
calls cairn_workspace() in its own WORKSPACE, before anything that might define the same names.
"""

_RULES_CC = """
cc_binary = native.cc_binary
cc_import = native.cc_import
cc_library = native.cc_library
cc_proto_library = native.cc_proto_library
cc_test = native.cc_test
cc_toolchain = native.cc_toolchain
cc_toolchain_suite = native.cc_toolchain_suite
fdo_prefetch_hints = native.fdo_prefetch_hints
fdo_profile = native.fdo_profile
objc_import = native.objc_import
objc_library = native.objc_library
"""

_COVERAGE_TOOLS = """
package(default_visibility = ["//visibility:public"])

filegroup(name = "coverage_report_generator")

filegroup(name = "lcov_merger")
"""

def _written_repository(ctx):
    ctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % ctx.name)
    for path, text in ctx.attr.files.items():
        ctx.file(path, text)

_written = repository_rule(
    implementation = _written_repository,
    attrs = {"files": attr.string_dict(mandatory = True)},
    local = True,
)

def cairn_workspace():
    """Defines the repositories Bazel itself asks for, where Bazel is Debian's.

    A Bazel from elsewhere has a version number as its label, may download, and is left alone.
    """
    if native.bazel_version and native.bazel_version[0].isdigit():
        return
    _written(
        name = "rules_cc",
        files = {
            "BUILD.bazel": "",
            "cc/BUILD.bazel": "",
            "cc/defs.bzl": _RULES_CC,
        },
    )
    _written(
        name = "remote_coverage_tools",
        files = {"BUILD.bazel": _COVERAGE_TOOLS},
    )
    native.local_repository(name = "rules_java", path = "/usr/share/bazel/rules/java")
    native.local_repository(name = "rules_proto", path = "/usr/share/bazel/rules/proto")
