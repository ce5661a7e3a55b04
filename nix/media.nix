# ffmpeg and ffprobe for the image, with what media needs and no more: what nixpkgs adds to a headless build is
# off, the network above all, and what renditions are made with is on. deploy/image/ffmpeg.sh names single codecs;
# nixpkgs' arguments cannot, so more decoders are in it, which app/services/media/probe.py keeps shut.
{ pkgs }:
pkgs.ffmpeg-headless.override {
  withHeadlessDeps = false;
  buildFfmpeg = true;
  buildFfprobe = true;
  buildAvcodec = true;
  buildAvfilter = true;
  buildAvformat = true;
  buildAvutil = true;
  buildSwresample = true;
  buildSwscale = true;
  withDav1d = true;
  withMp3lame = true;
  withOpus = true;
  withVpx = true;
  withWebp = true;
  withX264 = true;
  withZlib = true;
  withSafeBitstreamReader = true;
}
