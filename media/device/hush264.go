//go:build linux && cgo && !dynamic

package device

/*
#cgo LDFLAGS: -Wl,--wrap=WelsCreateSVCEncoder

// OpenH264 writes warnings to stderr unless it is told not to, and mediadevices does not tell it. The linker puts
// this function around the one that makes an encoder. What follows is of OpenH264's codec_api.h and codec_app_def.h,
// version 2.1.1, which mediadevices carries inside; the tag "dynamic", which takes the system's, leaves it out.
enum { SET_OPTION = 7, TRACE_LEVEL = 25, QUIET = 0 };

typedef int (*set_option)(void *encoder, int option, void *value);

// Weak, because this package is linked alone first, where it is missing.
extern int __real_WelsCreateSVCEncoder(void **encoder) __attribute__((weak));

int __wrap_WelsCreateSVCEncoder(void **encoder) {
	int result = __real_WelsCreateSVCEncoder(encoder);
	if (result == 0) {
		int level = QUIET;
		(*(set_option **)*encoder)[SET_OPTION](*encoder, TRACE_LEVEL, &level);
	}
	return result;
}
*/
import "C"
