# A flake's YYYYMMDDhhmmss in the form of RFC 3339.
{ lib }:
digits:
let
  at = start: lib.substring start 2 digits;
in
"${lib.substring 0 4 digits}-${at 4}-${at 6}T${at 8}:${at 10}:${at 12}Z"
