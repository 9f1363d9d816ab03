// What libnice uses of libgupnp-igd, without effect. The library of Debian 12 needs libsoup 3, and whip-client libsoup 2:
// the two end a process that has both.
#include <stddef.h>

extern void *g_object_new(unsigned long type, const char *first, ...);

enum { object_type = 80 }; // G_TYPE_OBJECT

unsigned long gupnp_simple_igd_get_type(void) { return object_type; }
void *gupnp_simple_igd_thread_new(void) { return g_object_new(object_type, NULL); }
void gupnp_simple_igd_add_port(void) {}
void gupnp_simple_igd_remove_port_local(void) {}
