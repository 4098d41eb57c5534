/* SPDX-License-Identifier: MIT */
#ifndef SERVER_MHD_H
#define SERVER_MHD_H

/*
 * libmicrohttpd, loaded when a server starts. The program is not linked with
 * it: with what it needs itself (GnuTLS) it would cost the start of every
 * command as much as all the rest, 2 ms.
 */

#include <microhttpd.h>

struct weir_err;

/* Its functions that we call. Filled by mhd_load. */
struct mhd {
	__typeof__(&MHD_add_connection) add_connection;
	__typeof__(&MHD_add_response_header) add_response_header;
	__typeof__(&MHD_create_response_from_buffer) response_from_buffer;
	__typeof__(&MHD_create_response_from_callback) response_from_callback;
	__typeof__(&MHD_destroy_response) destroy_response;
	__typeof__(&MHD_get_connection_info) get_connection_info;
	__typeof__(&MHD_get_connection_values_n) get_connection_values_n;
	__typeof__(&MHD_get_daemon_info) get_daemon_info;
	__typeof__(&MHD_get_timeout) get_timeout;
	__typeof__(&MHD_lookup_connection_value) lookup_connection_value;
	__typeof__(&MHD_queue_response) queue_response;
	__typeof__(&MHD_resume_connection) resume_connection;
	__typeof__(&MHD_run) run;
	__typeof__(&MHD_start_daemon) start_daemon;
	__typeof__(&MHD_stop_daemon) stop_daemon;
	__typeof__(&MHD_suspend_connection) suspend_connection;
};
extern struct mhd mhd;

/* Once is enough; before other threads run. WEIR_EFAILED says what to install.
 */
int mhd_load(struct weir_err *err);

#define MHD_add_connection		  mhd.add_connection
#define MHD_add_response_header		  mhd.add_response_header
#define MHD_create_response_from_buffer	  mhd.response_from_buffer
#define MHD_create_response_from_callback mhd.response_from_callback
#define MHD_destroy_response		  mhd.destroy_response
#define MHD_get_connection_info		  mhd.get_connection_info
#define MHD_get_connection_values_n	  mhd.get_connection_values_n
#define MHD_get_daemon_info		  mhd.get_daemon_info
#define MHD_get_timeout			  mhd.get_timeout
#define MHD_lookup_connection_value	  mhd.lookup_connection_value
#define MHD_queue_response		  mhd.queue_response
#define MHD_resume_connection		  mhd.resume_connection
#define MHD_run				  mhd.run
#define MHD_start_daemon		  mhd.start_daemon
#define MHD_stop_daemon			  mhd.stop_daemon
#define MHD_suspend_connection		  mhd.suspend_connection

#endif
