# What a stack finds on the PATH: the data servers, where nobody gave their addresses, and nixpkgs' own ffmpeg,
# which its binary cache has.
{ pkgs }:
[
  pkgs.redis
  (pkgs.postgresql.withPackages (extensions: [ extensions.pgvector ]))
  pkgs.ffmpeg-headless
]
