"""C++ from .proto files, with the system's protoc and gRPC plugin.

    cairn_cc_proto(name = "peer_proto", srcs = ["peer.proto"], deps = [":types_proto"])
    cairn_cc_grpc(name = "peer_grpc", srcs = ["peer.proto"], deps = [":peer_proto"])

In package proto/cairn/v1 both name the file "cairn/v1/peer.proto" in imports and give the headers
"cairn/v1/peer.pb.h" and "cairn/v1/peer.grpc.pb.h". Dependencies are further cairn_cc_proto targets.
"""

# The directory that imports are relative to.
_IMPORT_ROOT = "proto"

def _below_import_root():
    """The package's path below the import root: "" or "/cairn/v1"."""
    package = native.package_name()
    if package != _IMPORT_ROOT and not package.startswith(_IMPORT_ROOT + "/"):
        fail("package %s is not below %s/" % (package, _IMPORT_ROOT))
    return package[len(_IMPORT_ROOT):]

def _protoc(name, srcs, imports, outs, flag):
    """A genrule that runs protoc on `srcs`, which may import `imports`.

    The roots are found from $(RULEDIR) and the first source, so that the rule also works in a
    workspace that has Cairn as an external repository.
    """
    below = _below_import_root()
    native.genrule(
        name = name,
        srcs = srcs + imports,
        outs = outs,
        cmd = " && ".join([
            "first=$(location %s)" % srcs[0],
            "source_root=$${first%%%s/%s}" % (below, srcs[0]),
            "out=$(RULEDIR)",
            "out_root=$${out%%%s}" % below,
            "protoc -I$$source_root -I/usr/include %s %s" % (
                flag,
                " ".join(["$(location %s)" % src for src in srcs]),
            ),
        ]),
        message = "Generating C++ for",
        visibility = ["//visibility:private"],
    )

def _outputs(srcs, suffix):
    return [src[:-len(".proto")] + suffix for src in srcs]

def _root_include():
    """The import root, relative to the package: where the generated headers are included from."""
    below = _below_import_root()
    return "/".join([".."] * below.count("/")) if below else "."

def cairn_cc_proto(name, srcs, deps = [], visibility = None):
    """A cc_library with the messages of `srcs`; `deps` are the cairn_cc_protos they import."""
    native.filegroup(
        name = name + "_sources",
        srcs = srcs + [dep + "_sources" for dep in deps],
        visibility = visibility,
    )
    headers = _outputs(srcs, ".pb.h")
    sources = _outputs(srcs, ".pb.cc")
    _protoc(
        name = name + "_generated",
        srcs = srcs,
        imports = [dep + "_sources" for dep in deps],
        outs = headers + sources,
        flag = "--cpp_out=$$out_root",
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        includes = [_root_include()],
        visibility = visibility,
        deps = deps + [Label("//third_party:protobuf")],
    )

def cairn_cc_grpc(name, srcs, deps, visibility = None):
    """A cc_library with the services of `srcs`; the first of `deps` is the cairn_cc_proto of `srcs`."""
    headers = _outputs(srcs, ".grpc.pb.h")
    sources = _outputs(srcs, ".grpc.pb.cc")
    _protoc(
        name = name + "_generated",
        srcs = srcs,
        imports = [dep + "_sources" for dep in deps],
        outs = headers + sources,
        flag = "--plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) --grpc_out=$$out_root",
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        includes = [_root_include()],
        visibility = visibility,
        deps = deps + [Label("//third_party:grpc")],
    )
