/* Answers a request with a SavedModel by TensorFlow's C API alone: no Python, nothing of seqpipe.

       serve SAVED_MODEL SIGNATURE NAME=VALUE...

   A value is a text, a number, or @FILE with bytes (for strings) or raw float32 (for floats). Each output is printed as
   `NAME: VALUE VALUE ...`. What the signature's inputs and outputs are called in the graph is read from the
   MetaGraphDef, a protocol buffer, of which this walks the few fields it needs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

typedef struct { const unsigned char *at, *end; } Span; /* bytes of a message */
typedef struct { char name[256], op[512]; int output, rank, last, type; } Tensor; /* last: size of the last axis */

static void fail(const char *what, const char *why) { fprintf(stderr, "%s: %s\n", what, why); exit(1); }
static void check(const char *what, TF_Status *status) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

static unsigned long varint(Span *in) {
  unsigned long value = 0;
  for (int shift = 0;; shift += 7) {
    value |= (unsigned long)(*in->at & 127) << shift;
    if (!(*in->at++ & 128)) return value;
  }
}
/* The next field of a message: its number, and what it holds as a span or a number; 0 at the end. */
static int next(Span *in, Span *span, unsigned long *number) {
  if (in->at >= in->end) return 0;
  unsigned long tag = varint(in), size = 0;
  if ((tag & 7) == 0) *number = varint(in);
  else size = (tag & 7) == 2 ? varint(in) : (tag & 7) == 1 ? 8 : 4;
  *span = (Span){in->at, in->at + size};
  in->at += size;
  return (int)(tag >> 3);
}
static void copy(char *to, size_t room, Span from) {
  snprintf(to, room, "%.*s", (int)(from.end - from.at), (const char *)from.at);
}
static Tensor tensor_of(Span entry) { /* of a map from names to TensorInfo */
  Tensor tensor = {0};
  Span part, field, inner;
  unsigned long number;
  for (int id; (id = next(&entry, &part, &number));) {
    if (id == 1) copy(tensor.name, sizeof tensor.name, part);
    else for (int of; (of = next(&part, &field, &number));) {
      if (of == 1) copy(tensor.op, sizeof tensor.op, field);
      if (of == 2) tensor.type = (int)number;
      if (of == 3) while ((of = next(&field, &inner, &number))) if (of == 2) {
        tensor.rank++;
        while (next(&inner, &part, &number)) tensor.last = (int)number;
      }
    }
  }
  char *colon = strrchr(tensor.op, ':');
  if (colon) { tensor.output = atoi(colon + 1); *colon = 0; }
  return tensor;
}
/* Inputs (which = 1) or outputs (2) of a signature. */
static int tensors_of(const TF_Buffer *meta, const char *signature, int which, Tensor *found) {
  Span graph = {meta->data, (const unsigned char *)meta->data + meta->length}, entry, part, field;
  unsigned long number;
  int count = 0;
  for (int id; (id = next(&graph, &entry, &number));) {
    if (id != 5) continue;
    char name[256] = "";
    while ((id = next(&entry, &part, &number))) {
      if (id == 1) copy(name, sizeof name, part);
      else if (!strcmp(name, signature)) while ((id = next(&part, &field, &number))) {
        if (id == which && count < 64) found[count++] = tensor_of(field);
      }
    }
  }
  return count;
}

static TF_Tensor *value_of(const Tensor *input, const char *value) {
  char *data = (char *)value;
  size_t size = strlen(value), width = TF_DataTypeSize((TF_DataType)input->type);
  if (*value == '@') {
    FILE *file = fopen(value + 1, "rb");
    if (!file) fail(value, "cannot be read");
    fseek(file, 0, SEEK_END);
    size = (size_t)ftell(file);
    rewind(file);
    data = malloc(size + 1);
    if (fread(data, 1, size, file) != size) fail(value, "cannot be read");
    fclose(file);
  }
  int64_t count = input->type == TF_FLOAT && *value == '@' ? (int64_t)(size / 4) : 1;
  int64_t shape[3] = {input->rank >= 2 ? 1 : count, input->rank == 3 ? count / input->last : count, input->last};
  if (input->type == TF_STRING) width = sizeof(TF_TString);
  TF_Tensor *tensor = TF_AllocateTensor((TF_DataType)input->type, shape, input->rank, width * (size_t)count);
  void *into = TF_TensorData(tensor);
  if (input->type == TF_STRING) { TF_TString_Init(into); TF_TString_Copy(into, data, size); }
  else if (*value == '@') memcpy(into, data, size);
  else if (input->type == TF_FLOAT) *(float *)into = (float)atof(value);
  else if (input->type == TF_INT32) *(int *)into = atoi(value);
  else if (input->type == TF_INT64) *(long long *)into = atoll(value);
  else fail(input->name, "is of a type that this program does not feed");
  return tensor;
}
static void print_text(const char *text, size_t size) { /* on one line */
  putchar(' ');
  for (size_t i = 0; i < size; i++) text[i] == '\n' ? fputs("\\n", stdout) : putchar(text[i]);
}
static void print(const char *name, TF_Tensor *tensor) {
  const void *data = TF_TensorData(tensor);
  printf("%s:", name);
  for (long long i = 0; i < TF_TensorElementCount(tensor); i++) switch (TF_TensorType(tensor)) {
    case TF_STRING: print_text(TF_TString_GetDataPointer((TF_TString *)data + i), TF_TString_GetSize((TF_TString *)data + i)); break;
    case TF_FLOAT: printf(" %.6f", ((const float *)data)[i]); break;
    case TF_INT32: printf(" %d", ((const int *)data)[i]); break;
    case TF_INT64: printf(" %lld", ((const long long *)data)[i]); break;
    case TF_BOOL: printf(" %s", ((const unsigned char *)data)[i] ? "true" : "false"); break;
    default: printf(" ?");
  }
  printf("\n");
}

int main(int argc, char **argv) {
  if (argc < 3) fail("usage", "serve SAVED_MODEL SIGNATURE NAME=VALUE...");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_Buffer *meta = TF_NewBuffer();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, meta, status);
  check(argv[1], status);
  Tensor inputs[64], outputs[64];
  int fed = tensors_of(meta, argv[2], 1, inputs), got = tensors_of(meta, argv[2], 2, outputs);
  if (!got) fail(argv[2], "is no signature of the model");
  TF_Output feeds[64], fetches[64];
  TF_Tensor *values[64], *answers[64];
  for (int i = 0; i < fed; i++) {
    const char *value = NULL;
    size_t size = strlen(inputs[i].name);
    for (int j = 3; j < argc; j++)
      if (!strncmp(argv[j], inputs[i].name, size) && argv[j][size] == '=') value = argv[j] + size + 1;
    if (!value) fail(inputs[i].name, "is an input of the signature and has no value here");
    values[i] = value_of(&inputs[i], value);
    feeds[i] = (TF_Output){TF_GraphOperationByName(graph, inputs[i].op), inputs[i].output};
  }
  for (int i = 0; i < got; i++)
    fetches[i] = (TF_Output){TF_GraphOperationByName(graph, outputs[i].op), outputs[i].output};
  TF_SessionRun(session, NULL, feeds, values, fed, fetches, answers, got, NULL, 0, NULL, status);
  check(argv[2], status);
  for (int i = 0; i < got; i++) print(outputs[i].name, answers[i]);
  return 0;
}
