/*
 * A C program that is linked with libcomputecore.so: makes a container, runs a process in it, and tells what it says
 * and how the container ends. `cargo xtask test windows` builds and runs it.
 */

#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <uchar.h>
#include <unistd.h>

typedef int32_t HRESULT;
typedef void *HANDLE;

struct process_information {
    uint32_t process_id, reserved;
    HANDLE input, output, error;
};

struct event {
    int32_t type;
    const char16_t *data;
    HANDLE operation;
};

extern HANDLE HcsCreateOperation(const void *context, void (*callback)(HANDLE, const void *));
extern void HcsCloseOperation(HANDLE operation);
extern HRESULT HcsWaitForOperationResult(HANDLE operation, uint32_t milliseconds, char16_t **document);
extern HRESULT HcsWaitForOperationResultAndProcessInfo(HANDLE operation, uint32_t milliseconds,
                                                       struct process_information *information, char16_t **document);
extern HRESULT HcsCreateComputeSystem(const char16_t *id, const char16_t *configuration, HANDLE operation,
                                      const void *security, HANDLE *system);
extern HRESULT HcsSetComputeSystemCallback(HANDLE system, int32_t options, const void *context,
                                           void (*callback)(const struct event *, const void *));
extern HRESULT HcsStartComputeSystem(HANDLE system, HANDLE operation, const char16_t *options);
extern HRESULT HcsTerminateComputeSystem(HANDLE system, HANDLE operation, const char16_t *options);
extern HRESULT HcsCreateProcess(HANDLE system, const char16_t *parameters, HANDLE operation, const void *security,
                                HANDLE *process);
extern HRESULT HcsWaitForComputeSystemExit(HANDLE system, uint32_t milliseconds, char16_t **status);
extern void HcsCloseProcess(HANDLE process);
extern void HcsCloseComputeSystem(HANDLE system);

enum { MINUTE = 60000 };

static void must(HRESULT code, const char *what)
{
    if (code < 0) {
        fprintf(stderr, "%s: 0x%08X\n", what, (unsigned)code);
        exit(1);
    }
}

static void print(const char16_t *text)
{
    for (; text && *text; text++)
        putchar(*text < 128 ? *text : '?');
    putchar('\n');
}

struct heard {
    int32_t type;
    sem_t said;
};

static void hear(const struct event *event, const void *context)
{
    struct heard *heard = (struct heard *)context;
    heard->type = event->type;
    sem_post(&heard->said);
}

/* Waits for an operation's end and closes it. */
static void finish(HANDLE operation, const char *what)
{
    char16_t *document = NULL;
    must(HcsWaitForOperationResult(operation, MINUTE, &document), what);
    free(document);
    HcsCloseOperation(operation);
}

int main(void)
{
    static struct heard heard;
    char buffer[64];
    ssize_t read_bytes;
    char16_t *status = NULL;
    struct process_information information;
    HANDLE system, process, operation = HcsCreateOperation(NULL, NULL);

    sem_init(&heard.said, 0, 0);
    must(HcsCreateComputeSystem(u"linked",
                                u"{\"Owner\":\"c\",\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Container\":{}}",
                                operation, NULL, &system), "create");
    finish(operation, "create");
    must(HcsSetComputeSystemCallback(system, 0, &heard, hear), "set the callback");
    operation = HcsCreateOperation(NULL, NULL);
    must(HcsStartComputeSystem(system, operation, NULL), "start");
    finish(operation, "start");

    operation = HcsCreateOperation(NULL, NULL);
    must(HcsCreateProcess(system, u"{\"CommandLine\":\"say hello\",\"CreateStdOutPipe\":true}", operation, NULL, &process),
         "create a process");
    must(HcsWaitForOperationResultAndProcessInfo(operation, MINUTE, &information, NULL), "create a process");
    HcsCloseOperation(operation);
    /* A handle is a file descriptor here. */
    read_bytes = read((int)(intptr_t)information.output, buffer, sizeof buffer);
    printf("process %u says %.*s\n", information.process_id, (int)read_bytes, buffer);
    close((int)(intptr_t)information.output);
    HcsCloseProcess(process);

    operation = HcsCreateOperation(NULL, NULL);
    must(HcsTerminateComputeSystem(system, operation, NULL), "terminate");
    finish(operation, "terminate");
    must(HcsWaitForComputeSystemExit(system, MINUTE, &status), "wait for the exit");
    print(status);
    free(status);
    /* It comes from a thread of the library. */
    sem_wait(&heard.said);
    HcsCloseComputeSystem(system);
    printf("heard of event %d\n", heard.type);
    return heard.type == 1 ? 0 : 1;
}
