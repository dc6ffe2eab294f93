// The files of the page to try the API, as they are in page/: read by page.cc.
#define FILE_AS(name, path)                                                                        \
    .global tallymill_page_##name, tallymill_page_##name##_end;                                    \
    tallymill_page_##name: .incbin path;                                                           \
    tallymill_page_##name##_end:

    .section .rodata
    FILE_AS(html, "front/gateway/page/index.html")
    FILE_AS(css, "front/gateway/page/try.css")
    FILE_AS(js, "front/gateway/page/try.js")
    .section .note.GNU-stack, "", %progbits
