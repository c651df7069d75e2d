// A program in which Qt, X11 and Windows have defined their macros before genmod comes: it compiles, and they are
// still there afterwards.
#define emit
#define signals public
#define slots
#define foreach(variable, container) for (variable : container)
#define Bool int
#define Status int
#define Success 0
#define None 0L
#define True 1
#define False 0
#define Always 2
#define Unsorted 0
#define Complex 0
#define ERROR 0
#define near
#define far
#define small char
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))

#include <genmod/genmod.hpp>

#if !defined(emit) || !defined(signals) || !defined(slots) || !defined(foreach) || !defined(near) || !defined(far)
#error "a macro of the user's is gone"
#endif

static_assert(Success == 0 && None == 0L && True == 1 && False == 0 && Always == 2 && Unsorted == 0 && Complex == 0);
static_assert(min(1, 2) == 1 && max(1, 2) == 2 && ERROR == 0 && sizeof(small) == 1);

class Window {
signals:
    Status status = Success;
public slots:
    Bool open() {
        emit status;
        return True;
    }
};

int main() {
    Window window;
    foreach (const float x, genmod::Tensor<float>::zeros({2}))
        if (x != 0) return 1;
    return window.open() && window.status == Success ? 0 : 1;
}
