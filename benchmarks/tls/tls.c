/*
 * tls.c - TLS through functions found at run time.
 *
 * The prototypes are OpenSSL's documented ones, which are the same in 1.1 and
 * 3; types that it keeps to itself are void here.
 */
#include "tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

#define ERROR_WANT_READ   2
#define ERROR_WANT_WRITE  3
#define ERROR_SYSCALL     5
#define ERROR_ZERO_RETURN 6
#define CTRL_MODE         33
#define FILETYPE_PEM      1
/* A write may be partial, and may go on from another address. */
#define MODE_PARTIAL_MOVING 3l

struct tls {
    void *ssl;
};

static struct {
    void *context;
    bool is_server;
    const void *(*TLS_client_method)(void);
    const void *(*TLS_server_method)(void);
    void *(*SSL_CTX_new)(const void *method);
    long (*SSL_CTX_ctrl)(void *context, int command, long number, void *data);
    int (*SSL_CTX_use_certificate_chain_file)(void *context,
                                              const char *path);
    int (*SSL_CTX_use_PrivateKey_file)(void *context, const char *path,
                                       int type);
    void *(*SSL_new)(void *context);
    void (*SSL_free)(void *ssl);
    int (*SSL_set_fd)(void *ssl, int fd);
    int (*SSL_connect)(void *ssl);
    void (*SSL_set_accept_state)(void *ssl);
    int (*SSL_read)(void *ssl, void *buffer, int size);
    int (*SSL_write)(void *ssl, const void *buffer, int size);
    int (*SSL_get_error)(const void *ssl, int result);
} openssl;

static const struct {
    const char *name;
    void *slot;
} functions[] = {
#define FUNCTION(name) {#name, &openssl.name}
    FUNCTION(TLS_client_method),
    FUNCTION(TLS_server_method),
    FUNCTION(SSL_CTX_new),
    FUNCTION(SSL_CTX_ctrl),
    FUNCTION(SSL_CTX_use_certificate_chain_file),
    FUNCTION(SSL_CTX_use_PrivateKey_file),
    FUNCTION(SSL_new),
    FUNCTION(SSL_free),
    FUNCTION(SSL_set_fd),
    FUNCTION(SSL_connect),
    FUNCTION(SSL_set_accept_state),
    FUNCTION(SSL_read),
    FUNCTION(SSL_write),
    FUNCTION(SSL_get_error),
#undef FUNCTION
};

static const char *
openssl_find(void)
{
    static const char *const names[] = {"libssl.so.3", "libssl.so.1.1"};
    void *library = NULL;

    for (size_t i = 0; library == NULL
         && i < sizeof(names) / sizeof(names[0]); i++) {
        library = dlopen(names[i], RTLD_NOW);
    }
    if (library == NULL) {
        return dlerror();
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        /* POSIX wants the detour: a function is no object. */
        *(void **)functions[i].slot = dlsym(library, functions[i].name);
        if (*(void **)functions[i].slot == NULL) {
            return dlerror();
        }
    }
    return NULL;
}

const char *
tls_prepare(const char *certificate)
{
    const char *wrong = openssl_find();

    if (wrong != NULL) {
        return wrong;
    }
    openssl.is_server = certificate != NULL;
    openssl.context = openssl.SSL_CTX_new(
        openssl.is_server ? openssl.TLS_server_method()
        : openssl.TLS_client_method());
    if (openssl.context == NULL) {
        return "SSL_CTX_new failed";
    }
    openssl.SSL_CTX_ctrl(openssl.context, CTRL_MODE, MODE_PARTIAL_MOVING,
                         NULL);
    if (openssl.is_server
        && (openssl.SSL_CTX_use_certificate_chain_file(openssl.context,
                                                       certificate) != 1
            || openssl.SSL_CTX_use_PrivateKey_file(
                openssl.context, certificate, FILETYPE_PEM) != 1)) {
        return "no certificate with its key in that file";
    }
    return NULL;
}

struct tls *
tls_open(int fd)
{
    struct tls *tls = malloc(sizeof(*tls));

    if (tls == NULL) {
        return NULL;
    }
    tls->ssl = openssl.SSL_new(openssl.context);
    if (tls->ssl == NULL || openssl.SSL_set_fd(tls->ssl, fd) != 1) {
        tls_close(tls);
        return NULL;
    }
    if (openssl.is_server) {
        openssl.SSL_set_accept_state(tls->ssl);
    }
    else if (openssl.SSL_connect(tls->ssl) != 1) {
        tls_close(tls);
        return NULL;
    }
    return tls;
}

void
tls_close(struct tls *tls)
{
    if (tls != NULL && tls->ssl != NULL) {
        openssl.SSL_free(tls->ssl);
    }
    free(tls);
}

/* What a call that did not succeed means in terms of the socket. */
static ssize_t
tls_failed(struct tls *tls, int result)
{
    switch (openssl.SSL_get_error(tls->ssl, result)) {
    case ERROR_WANT_READ:
    case ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case ERROR_ZERO_RETURN:
        return 0;
    case ERROR_SYSCALL:
        return errno == 0 ? 0 : -1;
    default:
        errno = EPROTO;
        return -1;
    }
}

ssize_t
tls_receive(struct tls *tls, void *buffer, size_t size)
{
    errno = 0;
    int count = openssl.SSL_read(tls->ssl, buffer,
                                 size < INT_MAX ? (int)size : INT_MAX);
    return count > 0 ? count : tls_failed(tls, count);
}

ssize_t
tls_send(struct tls *tls, const void *bytes, size_t count)
{
    errno = 0;
    int sent = openssl.SSL_write(tls->ssl, bytes,
                                 count < INT_MAX ? (int)count : INT_MAX);
    if (sent > 0) {
        return sent;
    }
    ssize_t r = tls_failed(tls, sent);
    if (r == 0) {
        errno = EPIPE;
    }
    return -1;
}
