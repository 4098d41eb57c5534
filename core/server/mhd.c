/* SPDX-License-Identifier: MIT */
#include "server/mhd.h"

#include <dlfcn.h>
#include <string.h>
#include "base/err.h"

#define LIBRARY "libmicrohttpd.so.12"

struct mhd mhd;

int
mhd_load(struct weir_err *err)
{
	struct {
		void *to;
		const char *name;
	} calls[] = {
		{&mhd.add_connection, "MHD_add_connection"},
		{&mhd.add_response_header, "MHD_add_response_header"},
		{&mhd.response_from_buffer, "MHD_create_response_from_buffer"},
		{&mhd.response_from_callback,
		 "MHD_create_response_from_callback"},
		{&mhd.destroy_response, "MHD_destroy_response"},
		{&mhd.get_connection_info, "MHD_get_connection_info"},
		{&mhd.get_connection_values_n, "MHD_get_connection_values_n"},
		{&mhd.get_daemon_info, "MHD_get_daemon_info"},
		{&mhd.get_timeout, "MHD_get_timeout"},
		{&mhd.lookup_connection_value, "MHD_lookup_connection_value"},
		{&mhd.queue_response, "MHD_queue_response"},
		{&mhd.resume_connection, "MHD_resume_connection"},
		{&mhd.run, "MHD_run"},
		{&mhd.start_daemon, "MHD_start_daemon"},
		{&mhd.stop_daemon, "MHD_stop_daemon"},
		{&mhd.suspend_connection, "MHD_suspend_connection"},
	};
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		return err_set(err, WEIR_EFAILED,
			       "a server needs libmicrohttpd: %s (on Debian: "
			       "apt-get install libmicrohttpd12)",
			       dlerror());
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		void *call = dlsym(library, calls[i].name);

		if (call == NULL)
			return err_set(err, WEIR_EFAILED,
				       "this " LIBRARY " has no %s",
				       calls[i].name);
		memcpy(calls[i].to, &call, sizeof(call));
	}
	return 0;
}
