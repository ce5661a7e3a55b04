# The arguments of nixpkgs' ffmpeg that our flake sets, whatever their values: Debian's has everything.
package:
{
  withHeadlessDeps, withDav1d, withMp3lame, withOpus, withVpx, withWebp, withX264, withZlib, withSafeBitstreamReader,
  buildFfmpeg, buildFfprobe, buildAvcodec, buildAvfilter, buildAvformat, buildAvutil, buildSwresample, buildSwscale,
}:
package
