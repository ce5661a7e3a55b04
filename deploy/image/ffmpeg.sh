#!/bin/sh
# Builds ffmpeg and ffprobe from Debian's source into /opt/ffmpeg, with no more in them than this system's media needs:
# no network, no devices, no scripts or playlists; the decoders of app/services/media/probe.py, and what renditions are made with.
set -eu
jobs=$(nproc)

decoders=h264,hevc,vvc,vp8,vp9,libvpx_vp8,libvpx_vp9,libdav1d,mpeg4,mpeg1video,mpeg2video,h263,h263i
decoders=$decoders,msmpeg4v1,msmpeg4v2,msmpeg4v3,theora,vp3,vp6,prores,dnxhd,cfhd,dvvideo,ffv1,huffyuv,ffvhuff,utvideo
decoders=$decoders,cinepak,svq1,svq3,rpza,rawvideo,qtrle,mjpeg,mjpegb,png,apng,gif,webp,bmp,tiff,jpeg2000
decoders=$decoders,aac,aac_fixed,aac_latm,mp3,mp3float,mp2,mp2float,mp1,mp1float,opus,vorbis,flac,alac
decoders=$decoders,ac3,ac3_fixed,eac3,dca,truehd,mlp,amrnb,amrwb,speex,wavpack,wmav1,wmav2
decoders=$decoders,pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_s64le,pcm_f32le,pcm_f32be
decoders=$decoders,pcm_f64le,pcm_f64be,pcm_alaw,pcm_mulaw,pcm_dvd,pcm_bluray,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,gsm,gsm_ms

demuxers=mov,matroska,ogg,avi,mpegts,mpegps,mp3,aac,flac,wav,gif,rawvideo,pcm_s16le,pcm_f32le
demuxers=$demuxers,image_jpeg_pipe,image_png_pipe,image_webp_pipe,image_bmp_pipe,image_tiff_pipe
# Nothing is opened as one of these: by them ffmpeg tells what a stream of mpegps or mpegts is that names no codec.
demuxers=$demuxers,mpegvideo,m4v,h264,hevc,vvc,ac3,eac3,dts,truehd,loas

encoders=libx264,libvpx_vp8,libvpx_vp9,libwebp,libwebp_anim,mjpeg,png,gif,rawvideo,wrapped_avframe
encoders=$encoders,aac,libopus,libmp3lame,flac,pcm_u8,pcm_s16le,pcm_f32le

muxers=mp4,mov,ipod,webm,matroska,ogg,opus,mp3,adts,flac,wav,gif,webp,mjpeg,image2,image2pipe,rawvideo,null
muxers=$muxers,pcm_s8,pcm_u8,pcm_s16le,pcm_f32le

filters=scale,setsar,setdar,format,split,drawbox,overlay,crop,pad,transpose,rotate,hflip,vflip,null,color,fade
filters=$filters,fps,framestep,trim,setpts,settb,select,thumbnail,tile,concat,yadif,bwdif,tonemap,colorspace,blackdetect,alphaextract
filters=$filters,palettegen,paletteuse,showwavespic,aresample,aformat,anull,asplit,atrim,asetpts,asetnsamples,pan,amix,amerge
filters=$filters,volume,volumedetect,astats,silencedetect,loudnorm,compand,afade,aselect,apad

cd "$(mktemp -d)"
apt-get source -qq ffmpeg
cd ffmpeg-*/
# The flags that Debian builds it with: position-independent, stack and source fortified, relocations read-only.
./configure --prefix=/opt/ffmpeg --toolchain=hardened --enable-gpl --enable-rpath --enable-shared --disable-static \
    --disable-autodetect --disable-everything --disable-network --disable-avdevice --disable-ffplay --disable-doc \
    --disable-debug --disable-hwaccels \
    --enable-zlib --enable-libx264 --enable-libvpx --enable-libdav1d --enable-libwebp --enable-libopus --enable-libmp3lame \
    --enable-protocol=file,pipe,fd --enable-parsers --enable-bsfs \
    --enable-decoder="$decoders" --enable-demuxer="$demuxers" --enable-encoder="$encoders" --enable-muxer="$muxers" \
    --enable-filter="$filters" >configure.log 2>&1 || { tail -n 20 configure.log ffbuild/config.log >&2; exit 1; }
grep -i 'did not match anything' configure.log >&2 && exit 1
make -s -j"$jobs" >make.log 2>&1 || { tail -n 30 make.log >&2; exit 1; }
make -s install >/dev/null
rm -rf /opt/ffmpeg/include /opt/ffmpeg/share /opt/ffmpeg/lib/pkgconfig
strip --strip-unneeded /opt/ffmpeg/bin/* /opt/ffmpeg/lib/*.so.*
