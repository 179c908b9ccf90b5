/*
 * bcryptprimitives.dll for Wine before version 9, which has none. Rust's standard library and Go's runtime take their
 * random numbers from its one function and do not start without it. advapi32 has had the same under another name
 * since Windows XP; it counts in 32 bits.
 */

#include <windows.h>

BOOLEAN WINAPI SystemFunction036(void *buffer, ULONG length); /* RtlGenRandom */

enum { MOST = 1 << 20 };

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *buffer, SIZE_T length)
{
    while (length > 0) {
        ULONG part = length < MOST ? (ULONG)length : MOST;
        if (!SystemFunction036(buffer, part))
            return FALSE;
        buffer += part;
        length -= part;
    }
    return TRUE;
}

BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, LPVOID reserved)
{
    (void)library;
    (void)reason;
    (void)reserved;
    return TRUE;
}
