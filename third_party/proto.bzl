"""C++ from .proto files, with the system's protoc and gRPC plugin.

A package that uses these is the root of its imports. So in package proto

    cairn_cc_proto(name = "types_proto", srcs = ["cairn/v1/types.proto"])
    cairn_cc_proto(name = "peer_proto", srcs = ["cairn/v1/peer.proto"], deps = [":types_proto"])
    cairn_cc_grpc(name = "peer_grpc", srcs = ["cairn/v1/peer.proto"], deps = [":peer_proto"])

peer.proto imports "cairn/v1/types.proto", and C++ includes "cairn/v1/peer.pb.h" and
"cairn/v1/peer.grpc.pb.h". The headers count as system headers: their warnings are not ours.
"""

def _outputs(srcs, suffixes):
    return [src[:-len(".proto")] + suffix for src in srcs for suffix in suffixes]

def _protoc(name, srcs, deps, outs, flags):
    """A genrule that writes `outs` with protoc; `deps` are what `srcs` import.

    Roots are found from where Bazel says things are, which differs in a workspace that has Cairn as
    an external repository.
    """
    native.genrule(
        name = name,
        srcs = srcs + [dep + "_sources" for dep in deps],
        outs = outs,
        cmd = " && ".join([
            "first=$(location %s)" % srcs[0],
            "protoc -I$${first%%/%s} -I/usr/include %s %s" % (
                srcs[0],
                flags,
                " ".join(["$(location %s)" % src for src in srcs]),
            ),
        ]),
        message = "Generating C++ for",
        visibility = ["//visibility:private"],
    )

def cairn_cc_proto(name, srcs, deps = [], visibility = None):
    """A cc_library with the messages of `srcs`; `deps` are the cairn_cc_protos they import."""
    outs = _outputs(srcs, [".pb.h", ".pb.cc"])
    native.filegroup(
        name = name + "_sources",
        srcs = srcs + [dep + "_sources" for dep in deps],
        visibility = visibility,
    )
    _protoc(
        name = name + "_generated",
        srcs = srcs,
        deps = deps,
        outs = outs,
        flags = "--cpp_out=$(RULEDIR)",
    )
    native.cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        includes = ["."],
        visibility = visibility,
        deps = deps + [Label("//third_party:protobuf")],
    )

def cairn_cc_grpc(name, srcs, deps, visibility = None):
    """A cc_library with the services of `srcs`; `deps` has their cairn_cc_protos."""
    outs = _outputs(srcs, [".grpc.pb.h", ".grpc.pb.cc"])
    _protoc(
        name = name + "_generated",
        srcs = srcs,
        deps = deps,
        outs = outs,
        flags = "--plugin=protoc-gen-grpc=$$(command -v grpc_cpp_plugin) --grpc_out=$(RULEDIR)",
    )
    native.cc_library(
        name = name,
        srcs = [out for out in outs if out.endswith(".cc")],
        hdrs = [out for out in outs if out.endswith(".h")],
        includes = ["."],
        visibility = visibility,
        deps = deps + [Label("//third_party:grpc")],
    )
